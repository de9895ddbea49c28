/*! turted 0.1.0, ISC */
/** A refusal of the server, or a failure of the client. */
export declare class TurtedError extends Error {
    readonly code: string;
    readonly reason: string;
    readonly rule?: string | undefined;
    /**
     * @param code for programs; it does not change. Those of the server are in docs/protocol-v1.md
     * @param reason for people
     * @param rule what holds, with the key of the server's configuration if there is one
     */
    constructor(code: string, reason?: string, rule?: string | undefined);
    get name(): string;
}

/** What the server asks of a user: a name, a token, a password, whatever its authenticator wants. */
export type IdentData = Record<string, unknown>;
/** Why `getToken` is called. */
export type TokenReason = 'first' | 'expires' | 'token-expired' | 'ident-refused';
/** A token, or all the data of an `ident`. `null`: this client is nobody. */
export type Proof = string | IdentData | null;
export type TransportName = 'websocket' | 'sockjs';
export interface Options {
    /** The user of this client. With `getToken`: what is sent along with each token. */
    ident?: IdentData;
    /** Gives a new token: before the first ident, when a token is about to expire, and when one was refused. */
    getToken?: (why: {
        reason: TokenReason;
    }) => Proof | Promise<Proof>;
    /** How to connect: the first one, and the second one while the first does not work. */
    transports?: readonly TransportName[];
    /** The class of WebSockets, where there is no global one: that of the package `ws` in node 20. */
    WebSocket?: WebSocketClass;
    /** False: connect only when `connect()` is called. */
    connect?: boolean;
    /** The paths below the URL, if the server has others than `/ws` and `/turted`. */
    paths?: {
        websocket?: string;
        sockjs?: string;
    };
    /** The shortest and the longest wait before the client connects again, in milliseconds: 1,000 and 30,000. */
    retry?: {
        min?: number;
        max?: number;
    };
}
/** As much of a WebSocket as the client uses. */
export interface WebSocketLike {
    onmessage: ((event: any) => void) | null;
    onclose: ((event: any) => void) | null;
    onerror: ((event: any) => void) | null;
    send(text: string): void;
    close(code?: number): void;
}
export type WebSocketClass = new (url: string) => WebSocketLike;
/** Why this client receives an event. */
export type Via = {
    user: string;
} | {
    channel: string;
} | {
    broadcast: true;
};
/** What a handler learns beside the payload; it is also `this` in the handler. */
export interface Meta<Name extends string = string> {
    event: Name;
    via: Via;
    /** The position of the event in the log of the server, if it keeps one. */
    cursor: string | undefined;
    /** The event is of the history of a channel (`join` with `history`). */
    replayed?: true;
    /** The position of such an event. */
    position?: string;
}
export interface JoinOptions {
    /** How many of the last events of the channel come first, as far as the server keeps them. */
    history?: number;
    /** Tells who is in the channel, by `onPresence`. */
    presence?: boolean;
}
/** Who is in a channel. */
export interface Presence {
    channel: string;
    /** All users; undefined if they are too many to be named. */
    users?: string[] | undefined;
    /** What has changed, unless the server has told all of it. */
    joined?: string[];
    left?: string[];
    /** How many users there are, and how many connections that are no user. */
    count: number;
    anonymous: number;
    /** Of how many nodes of a cluster is not known who is there; undefined if there are none. */
    silent?: number;
}
export type Handler<Payload, Name extends string = string> = (this: Meta<Name>, payload: Payload, meta: Meta<Name>) => unknown;
export type State = 'connecting' | 'connected' | 'waiting' | 'offline' | 'closed';
/** Why the state is what it is: the close code of the connection, or a code of the client. */
export interface Why {
    code?: number | string;
    reason?: string;
    /** What failed, if there is more to say. */
    error?: Error | undefined;
}
/** Why events may have been missed. */
export interface Gap {
    code: string;
    reason: string;
}
export type StateHandler = (state: State, why: Why) => unknown;
export type GapHandler = (gap: Gap) => unknown;
export type PresenceHandler = (presence: Presence) => unknown;
/** Receives every error that no promise took: a `TurtedError`, or what a handler threw. */
export type ErrorHandler = (error: TurtedError | Error) => unknown;
/** Takes a handler away again. */
export type Off = () => void;

/** `Events`: the payload of each event by its name. */
export declare class TURTED<Events extends object = Record<string, any>> {
    #private;
    /** @param url where the server is, without the path of a transport; the origin of the page if it is left out */
    constructor(url?: string | URL, options?: Options);
    get state(): State;
    /** The user that this client is. */
    get user(): string | undefined;
    /** The name of the connection in the admin API of the server. */
    get connection(): string | undefined;
    /** The last connection went on where the one before it broke. */
    get recovered(): boolean;
    /** Calls `handler` with each event of this name; `'*'` is every event. Returns what takes the handler away again. */
    on<Name extends keyof Events & string>(event: Name, handler: Handler<Events[Name], Name>): Off;
    on(event: '*', handler: Handler<Events[keyof Events], keyof Events & string>): Off;
    /** Like `on`, for the next event only. */
    once<Name extends keyof Events & string>(event: Name, handler: Handler<Events[Name], Name>): Off;
    once(event: '*', handler: Handler<Events[keyof Events], keyof Events & string>): Off;
    /** Takes a handler away, or all handlers of this event. */
    off(event: (keyof Events & string) | '*', handler?: (...args: any[]) => unknown): void;
    /** Tells of each new state. */
    onState(handler: StateHandler): Off;
    /** Tells that events may have been missed, once everything is joined again: fetch anew what the page shows. */
    onGap(handler: GapHandler): Off;
    /** Tells who is in the channels that were joined with `presence`: all of it, and again when it changes. */
    onPresence(handler: PresenceHandler): Off;
    /** Tells of errors that no promise took. Without a handler they go to the console. */
    onError(handler: ErrorHandler): Off;
    /** Says who the client is. Resolves with the name of the user. */
    ident(data: IdentData): Promise<string>;
    /** Receives the events of a channel, until there was a `leave` for each `join`. */
    join(channel: string, options?: JoinOptions): Promise<void>;
    /** Takes one `join` back. */
    leave(channel: string): Promise<void>;
    /** Resolves with `data`, as the server sends it back. */
    echo<Data>(data: Data): Promise<Data>;
    /** Connects again after `close()`, or for the first time with `connect: false`. */
    connect(): void;
    /** Ends the connection. Handlers and joins stay, for the next `connect()`. */
    close(): void;
}
