//! Every limit of the server in one place: its unit, its default and the reason for it.
//!
//! Limits that an operator may change are keys of the configuration, with these values as defaults;
//! `docs/configuration.md` has the same table.

use std::time::Duration;

/// Bytes of one inbound message. Clients send IDENT, JOIN, LEAVE and ECHO; a token of 8 KiB is large.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Fragments of one WebSocket message. Browsers do not fragment below 64 KiB; libraries use 16 KiB.
pub const MESSAGE_FRAGMENTS_MAX: usize = 64;
/// Binary attachments one Socket.IO packet may announce (`socket.io-parser` allows 10 as well).
pub const ATTACHMENTS_MAX: usize = 10;
/// Packets in one Engine.IO polling body: those that a client queued during one round trip.
pub const POLLING_PACKETS_MAX: usize = 256;
/// Bytes of one Engine.IO polling body: `maxPayload` as socket.io announces it.
pub const POLLING_BODY_BYTES_MAX: usize = 1_000_000;
/// Messages in one SockJS body or frame: those that a client queued during one round trip.
pub const SOCKJS_MESSAGES_MAX: usize = 256;
/// Bytes of a SockJS session id. `sockjs-client` makes 8 characters, the protocol's suite 36.
pub const SOCKJS_SESSION_BYTES_MAX: usize = 128;
/// Bytes of the callback of a SockJS request. `sockjs-client` sends about 12. The callback is repeated at the
/// start of a script; attacks on plug-ins need hundreds of bytes there (sockjs-node allows 32 as well).
pub const SOCKJS_CALLBACK_BYTES_MAX: usize = 32;
/// Bytes of a SockJS body or frame for each byte a message may have: the longest escape, `%5Cu0041` in a
/// form, takes eight bytes for one.
pub const SOCKJS_ESCAPE_BYTES_MAX: usize = 8;
/// Bytes after which a streaming response of SockJS ends: browsers keep all of it in memory
/// (sockjs-protocol 0.3.3, "XhrStreaming").
pub const SOCKJS_RESPONSE_BYTES_MAX: usize = 128 * 1024;
/// How long a SockJS session lives without a request that receives, and how long after its end a client that
/// asks is told so (sockjs-protocol 0.3.3, `test_simpleSession`).
pub const SOCKJS_DISCONNECT_DELAY: Duration = Duration::from_secs(5);
/// Channels that one `join` of turted.v1 may name: as many as a connection may join by default, so that a page
/// asks for all of them at once.
pub const CHANNELS_PER_JOIN_MAX: usize = 128;
/// Bytes of the `id` of a turted.v1 request, which the reply repeats: a UUID takes 38.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// Bytes of one push body: a batch of many dispatches fits, an upload sent by mistake does not.
pub const PUSH_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of all bodies that are being read or handled: 64 of the largest at once, from backends that all push
/// at the same moment.
pub const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many addresses it takes to use up [`BODIES_BYTES_MAX`].
pub const BODIES_SHARE: usize = 4;
/// Chunks that a body may have whatever its size: a client may flush after each line of a small body.
pub const BODY_CHUNKS_MAX: usize = 1_024;
/// A body may have one more chunk for so many bytes. A chunk of one byte costs as much time as one of
/// thousands; segments of a network have 20 times as many bytes.
pub const BODY_CHUNK_BYTES: usize = 64;
/// Users and channels of one dispatch together. Each costs one encoded frame per wire.
pub const TARGETS_MAX: usize = 1_000;
/// Bytes of payloads in one push body, counted once for each target of their dispatch: what the frames take
/// if a connection of each target waits for one. A thousand targets of 64 KiB fit.
pub const EXPANSION_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one push body, if the log is that of a cluster: a dispatch of it and its names fit into an entry of 8 MiB, which is
/// what a node reads of one.
pub const CLUSTER_PUSH_BODY_BYTES_MAX: usize = 7 * 1024 * 1024;
/// Bytes of one entry in the log of a cluster, or of one value beside it, that a node reads: several times what a push may
/// have.
pub const CLUSTER_ENTRY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Users and channels of one dispatch, if the log is that of a cluster: so many a node reads of any other one.
pub const CLUSTER_TARGETS_MAX: usize = 100_000;
/// Dispatches of one push body; half an inbox, so that a batch never has to be split.
pub const BATCH_DISPATCHES_MAX: usize = 1_000;

/// Bytes of a user, channel or event name.
pub const NAME_BYTES_MAX: usize = 255;
/// Depth of the data of an IDENT. Authenticators read them, and their JSON readers may recurse.
pub const IDENT_DEPTH_MAX: usize = 128;
/// Channels one connection may have joined.
pub const CHANNELS_PER_CONNECTION_MAX: usize = 128;
/// Channels and prefixes one token may grant. Each JOIN searches all of them.
pub const CHANNEL_GRANTS_MAX: usize = 1_000;
/// Bytes of one JSON Web Token. Those of identity providers have 1 to 4 KiB. Web servers take headers of 8 to
/// 16 KiB, so a larger token reaches no backend either.
pub const JWT_BYTES_MAX: usize = 16 * 1024;
/// Keys that JSON Web Tokens may be verified with. Providers publish two or three. A token without `kid` is
/// tried with each key, at some 50 us for an RSA signature.
pub const JWT_KEYS_MAX: usize = 16;
/// Bytes of a file with such keys: 16 RSA keys of 4096 bits as JSON Web Keys, each with its certificate, have
/// 50 kB.
pub const JWT_KEY_FILE_BYTES_MAX: usize = 64 * 1024;
/// How far the clock of the issuer of a token and the clock of this server may differ. With NTP they differ
/// by milliseconds; half a minute covers a machine whose NTP has been down for weeks.
pub const TOKEN_LEEWAY: Duration = Duration::from_secs(30);
/// How long the verification of an IDENT may take, including its wait for a free place. It is shorter than
/// the time for the answer to a heartbeat, because that answer waits behind the IDENT.
pub const VERIFICATION_WAIT_MAX: Duration = Duration::from_secs(5);
/// Verifications under way at once: as many requests as a small pool of PHP workers can serve.
pub const VERIFICATIONS_MAX: usize = 64;
/// Bytes of the answer of a backend to an IDENT: a thousand channels fit. An answer about a push has no more.
pub const VERDICT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of what a push shows to a backend that judges it: as much as an IDENT may have ([`MESSAGE_BYTES_MAX`]). All
/// that are under way at once take 4 MiB.
pub const PUSH_AUTH_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// Users one connection may be at once under `ident = "add"`, as in the node server.
pub const USERS_PER_CONNECTION_MAX: usize = 8;

/// Messages per second one connection may send on average.
pub const MESSAGE_RATE_PER_SECOND: u32 = 50;
/// Messages one connection may send at once: a page may join every channel it is allowed to, twice, after a
/// reconnect.
pub const MESSAGE_BURST: u32 = 256;

/// Bytes waiting for one connection: a dozen events of the largest size, for a client on a slow link.
/// [`OUTBOX_STALL_MAX`] bounds how long the client may take to read them, [`BACKLOG_BYTES_MAX`] what all
/// connections together may hold.
pub const OUTBOX_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Frames waiting for one connection: 8 bytes each beside the frames, which connections share.
pub const OUTBOX_FRAMES_MAX: usize = 16_384;
/// How long a blocked connection may take to read 16 KiB of its waiting bytes, or all of them if they are
/// fewer, before it is closed.
pub const OUTBOX_STALL_MAX: Duration = Duration::from_secs(10);
/// Bytes waiting for all connections together: frames, answers that are not read, dispatches that are still
/// to be replayed. What several connections wait for counts once. Without a configured value the limit is at
/// most a quarter of the memory that the process may use.
pub const BACKLOG_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of one answer to a polling request, unless one event alone is larger: what a slow link transfers in
/// two seconds, so that heartbeats are not late. The rest waits for the next request.
pub const POLLING_ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Bytes that a client has to read within [`OUTBOX_STALL_MAX`], unless fewer wait: 1.6 kB/s, which even the
/// slowest links manage. Without this limit a client that reads a byte now and then would hold its backlog
/// for ever.
pub const PROGRESS_BYTES: usize = 16 * 1024;
/// Bytes read from one connection before others have their turn. A large push takes 16 turns. Of all input
/// the control frames of HTTP/2 cost the most for their size (RFC 9113 10.5): 4,000 pings fit into one turn.
pub const READ_TURN_BYTES: usize = 64 * 1024;

/// Dispatches waiting for one worker before pushes are answered 503.
pub const INBOX_DISPATCHES_MAX: usize = 4_096;
/// Bytes of event names, targets and payloads of dispatches waiting for one worker before pushes are answered
/// 503. Workers and the log share these bytes; a worker that is behind keeps them longer.
pub const INBOX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Sessions that live by requests, polling and SockJS, of one address: an office of a thousand pages whose
/// proxy denies WebSockets. Other clients give their place back as soon as they have moved to a WebSocket. A
/// server with the descriptors of a systemd unit has 500 times as many places, so it takes 500 addresses to
/// fill it. An idle polling session takes about 1 kB, so the sessions of one address take 1 MB.
pub const SESSIONS_PER_ADDRESS_MAX: usize = 1_000;

/// Bytes of an HTTP request head.
pub const REQUEST_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of an HTTP request.
pub const REQUEST_HEADERS_MAX: usize = 100;
/// Bytes of an HTTP request target.
pub const REQUEST_URI_BYTES_MAX: usize = 8 * 1024;
/// How long a request head may take, and how long a new connection may be silent.
pub const REQUEST_HEAD_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long an HTTP connection is kept without a request, after its first one. Pools of backends and proxies
/// keep theirs for 60 s. A pool that is told this time closes first, so that no push meets a closed
/// connection.
pub const IDLE_WAIT_MAX: Duration = Duration::from_secs(75);
/// How much longer a connection is kept than its client is told: a request sent at the last moment still
/// arrives.
pub const IDLE_GRACE: Duration = Duration::from_secs(1);
/// Bytes that are read of a connection while no request of it is parsed: the head of a browser's next request, cookies
/// included.
pub const UNPARSED_BYTES_MAX: usize = 4 * 1024;
/// How long a request body may take. The largest, 1 MiB, arrives in time at 35 kB/s.
pub const REQUEST_BODY_WAIT_MAX: Duration = Duration::from_secs(30);

/// Bytes of a request on the short way, head and body together: some kilobytes more than most pushes have. A longer
/// one costs more to read and to deliver than what the short way saves.
pub const SHORT_WAY_BYTES_MAX: usize = 16 * 1024;
/// How long the rest of a request is waited for on the short way: many clients write head and body one behind the
/// other. A slower one is served by hyper, whose limits begin then: so it has this much longer.
pub const SHORT_WAY_REST_WAIT: Duration = Duration::from_millis(100);

/// Bytes that a client may send after a request whose response does not end. They are read and dropped: a
/// client that pipelines sends one more request head.
pub const STREAM_INPUT_BYTES_MAX: usize = 16 * 1024;

/// Bytes of one file of `assets_dir`: the largest browser client with its source map has 1.5 MB.
pub const ASSET_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of all files of `assets_dir` in memory: several versions of the browser clients.
pub const ASSETS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Files of `assets_dir` in memory: the package of socket.io-client has about 20.
pub const ASSETS_MAX: usize = 64;

/// Streams of one HTTP/2 connection at once, as in most servers: enough for a page with all its requests.
pub const H2_STREAMS_MAX: u32 = 100;
/// Bytes of one request over HTTP/2 that wait to be read: the smallest window of the standard.
pub const H2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// Bytes of all requests of an HTTP/2 connection that wait to be read. This bounds the memory that one peer
/// takes, and lets 1 MiB arrive in four round trips.
pub const H2_CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of one answer over HTTP/2 that are sent without watching whether the client reads them: as many as
/// the stream itself takes. They are freed with the connection, which ends when nothing else is under way on
/// it.
pub const H2_UNWATCHED_BYTES_MAX: usize = 1024;
/// Bytes of one response over HTTP/2 that wait below the outbox: two frames of the response.
pub const H2_SEND_BUFFER_BYTES: usize = 32 * 1024;

/// How long a session may stay without its first Socket.IO packet.
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long an upgrade from polling to WebSocket may take from probe to completion.
pub const UPGRADE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Time between two heartbeats.
pub const PING_INTERVAL: Duration = Duration::from_secs(25);
/// How long the answer to a heartbeat may take.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client of an event stream waits before it reconnects: the default of browsers.
pub const SSE_RETRY: Duration = Duration::from_secs(3);
/// Time between two signs of life on an event stream. Proxies end a connection that is silent for a minute,
/// and pages of TURTED for reactphp expect a sign after 28 s.
pub const SSE_HEARTBEAT: Duration = Duration::from_secs(25);

/// Passwords with names for pushes. A server has one for each backend, and two while one of them changes. Each guess is
/// compared with all of them, at some 50 ns.
pub const PUSH_KEYS_MAX: usize = 64;
/// Events, and channels, that one of these keys may list. Each target of a push is compared with all of them.
pub const PUSH_KEY_PATTERNS_MAX: usize = 64;
/// Wrong push passwords one address may send in [`PASSWORD_WINDOW`] before it is answered 429.
pub const WRONG_PASSWORDS_MAX: u32 = 10;
/// Wrong IDENTs one address may send in [`PASSWORD_WINDOW`] before its other IDENTs are no longer verified:
/// room for an office behind one address whose pages are out of date, but not for guessing.
pub const WRONG_IDENTS_MAX: u32 = 10;
/// The window of [`WRONG_PASSWORDS_MAX`] and [`WRONG_IDENTS_MAX`].
pub const PASSWORD_WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered for [`WRONG_PASSWORDS_MAX`], for [`WRONG_IDENTS_MAX`] and for wrong tokens of
/// operators: 100,000 take about 12 MB. The oldest give way to new ones.
pub const PASSWORD_ADDRESSES_MAX: usize = 100_000;

/// Characters of a secret that cannot be guessed: 128 bits in base64 without padding. A right secret of this
/// length passes even if its address guessed wrong too often.
pub const STRONG_SECRET_CHARACTERS_MIN: usize = 22;

/// How long the answer to an `Idempotency-Key` is kept.
pub const IDEMPOTENCY_AGE_MAX: Duration = Duration::from_secs(300);
/// Idempotency keys kept at once.
pub const IDEMPOTENCY_KEYS_MAX: usize = 100_000;
/// Bytes of idempotency keys and answers kept at once. 100,000 keys of 36 bytes with the short answer take
/// half of it; a JSON answer to a batch of 1,000 takes about 40 kB.
pub const IDEMPOTENCY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// How long a session that lost its connection can be recovered.
pub const RECOVERY_AGE_MAX: Duration = Duration::from_secs(120);
/// Sessions kept for recovery at once: all clients of a node may reconnect.
pub const RECOVERY_SESSIONS_MAX: usize = 100_000;
/// Bytes of users, channels and grants kept for recovery at once: 100,000 sessions with a user and five
/// channels each. One session with 128 channels of the longest names takes 40 kB.
pub const RECOVERY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Dispatches kept in the log for recovery.
pub const LOG_DISPATCHES_MAX: usize = 100_000;
/// Bytes of event names, targets and payloads kept in the log for recovery.
pub const LOG_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Events that one channel keeps for those who join later (`history`): more is an archive, which a backend has.
pub const HISTORY_EVENTS_MAX: usize = 1_000;
/// How long they are kept by default.
pub const HISTORY_AGE: Duration = Duration::from_secs(60 * 60);
/// Bytes of the history of all channels: as much as the log has.
pub const HISTORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Events in the history of all channels: as many as the log has.
pub const HISTORY_EVENTS_IN_ALL_MAX: usize = 100_000;
/// Events of history that one request for an event stream gets, for all of its channels: listing them takes less than a
/// slice of the fan-out.
pub const HISTORY_EVENTS_PER_STREAM_MAX: usize = 4_096;
/// Dispatches replayed to one recovered connection. If it missed more, that is a gap, and the client begins
/// anew.
pub const REPLAY_DISPATCHES_MAX: usize = 300;
/// Clients of one address that wait at a worker for the replay of what they missed; one more client begins
/// anew. A look into the log takes about 0.1 ms, so an office whose clients all come back at once waits for
/// 100 ms.
pub const REPLAYS_WAITING_MAX: usize = 1_000;

/// How long what was written to the log on disk may stay without being synced: what a loss of power may take. A sync
/// takes some 3 ms on a disk that does nothing else, so that one each second costs nothing.
pub const LOG_SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes after which a segment of the log on disk is finished. A finished segment is deleted as a whole, so that the
/// disk has at most one segment more than the log keeps; eight hold the log of the default size.
pub const LOG_SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// How long a start waits for the directory of the log: the kernel takes half a second to free the lock of a process
/// of 4 GB that was killed.
pub const LOG_LOCK_WAIT_MAX: Duration = Duration::from_secs(10);

/// Hooks of one server. Each has a thread and a table of who is online; more than a few are a mistake.
pub const HOOKS_MAX: usize = 16;
/// Records that wait for one hook: ten seconds of a backend that takes ten batches a second.
pub const HOOK_RECORDS_MAX: usize = 10_000;
/// Bytes of the records that wait for one hook: the largest dispatches come in dozens, not in thousands.
pub const HOOK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Connections that have ended and count for `grace` still, of one hook: ten times what comes back in 5 s after a
/// restart of a proxy. The oldest give way.
pub const HOOK_LOST_MAX: usize = 100_000;
/// Bytes of those connections, by [`HOOK_CONNECTION_BYTES`], [`HOOK_NAME_BYTES`] and the texts of their names, which nobody else
/// keeps any more: 80,000 of a user in five channels, or 2,200 with 128 of the longest names. The oldest give way.
pub const HOOK_LOST_BYTES_MAX: usize = 128 * 1024 * 1024;
/// A connection in the table of a hook, and a name of it there beside its text: its places in two lists, which have some to
/// spare, and what the allocator rounds up. Measured: 150.
pub const HOOK_CONNECTION_BYTES: usize = 300;
/// See [`HOOK_CONNECTION_BYTES`].
pub const HOOK_NAME_BYTES: usize = 200;
/// How long a user that has lost its last connection counts as online: a page that is loaded anew is back within it.
pub const HOOK_GRACE: Duration = Duration::from_secs(5);
/// Bytes of one batch of a hook, unless one record is larger: half of what proxies let pass by default.
pub const HOOK_BATCH_BYTES_MAX: usize = 512 * 1024;

/// Users of a channel that its members are told by name. A list of a thousand is as much as a page shows; of more only the
/// number is told.
pub const PRESENCE_USERS_MAX: usize = 1_000;
/// Users from which on a channel that had more is small again. The distance keeps a channel with about a thousand users from
/// being listed again and again.
pub const PRESENCE_USERS_AGAIN: usize = 900;
/// Users that are told as having joined or left. Of more changes within a second the whole list is hardly longer.
pub const PRESENCE_CHANGE_MAX: usize = 100;
/// Periods of a second between two messages about a channel with too many users to name them.
pub const PRESENCE_LARGE_PERIODS: u64 = 10;
/// Time between two messages about one channel.
pub const PRESENCE_PERIOD: Duration = Duration::from_secs(1);
/// Messages about presence to all clients of a node within a second: a tenth of what a core delivers.
pub const PRESENCE_DELIVERIES_MAX: usize = 10_000;
/// Bytes of these messages: those of 10,000 at 3 kB each.
pub const PRESENCE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a user that has lost its last connection is present: a phone that changes networks is back within it.
pub const PRESENCE_GRACE: Duration = Duration::from_secs(10);
/// The same where the server stops or was started anew: its clients come back over `drain_timeout`.
pub const PRESENCE_DEPLOY_GRACE: Duration = Duration::from_secs(30);
/// Connections that were lost and count still: as many as there are sessions kept for recovery. The oldest give way.
pub const PRESENCE_LOST_MAX: usize = 100_000;
/// Bytes of those connections, by [`PRESENCE_CONNECTION_BYTES`], [`PRESENCE_NAME_BYTES`] and the texts of their names.
pub const PRESENCE_LOST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A connection in the table of presence, and a name of it there beside its text, as in the table of a hook.
pub const PRESENCE_CONNECTION_BYTES: usize = HOOK_CONNECTION_BYTES;
/// See [`PRESENCE_CONNECTION_BYTES`].
pub const PRESENCE_NAME_BYTES: usize = HOOK_NAME_BYTES;
/// Bytes of names in a message by which a node tells others who is in its channels: more than a thousand names, which are added
/// in a millisecond.
pub const PRESENCE_PORTION_BYTES: usize = 16 * 1024;
/// Bytes of such a message that are read. A later version may have longer ones.
pub const PRESENCE_MESSAGE_BYTES_MAX: usize = 4 * PRESENCE_PORTION_BYTES;
/// Messages of changes that a node sends within a second. What is left comes in the next one.
pub const PRESENCE_CHANGES_MAX: usize = 128;
/// Portions of all that it has, which it sends to nodes that ask, within a second: 8 MiB.
pub const PRESENCE_PORTIONS_MAX: usize = 512;
/// Nodes that are asked for all at a time.
pub const PRESENCE_ASKED_NODES_MAX: usize = 4;
/// How long the answer to such a question may take. Then it is asked once more.
pub const PRESENCE_ANSWER_MAX: Duration = Duration::from_secs(2);
/// Time between two messages of a node that has nothing to tell: a message that was lost is noticed by the next one.
pub const PRESENCE_BEACON: Duration = Duration::from_secs(2);
/// A node that has told nothing for so long is silent: what it has may be something else.
pub const PRESENCE_SILENCE: Duration = Duration::from_secs(5);
/// How long a user counts at a node that has let go of its session: the node that has it now has said so by then.
pub const PRESENCE_HANDOVER: Duration = Duration::from_secs(3);
/// Bytes of what other nodes tell, by [`PRESENCE_CONNECTION_BYTES`] for each channel of a node, [`PRESENCE_NAME_BYTES`] and the
/// texts of names: about a million users with short names. What is above is left out, and its node is silent.
pub const PRESENCE_OTHERS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// After this time a node of which something was left out is asked again.
pub const PRESENCE_OTHERS_PAUSE: Duration = Duration::from_secs(60);
/// Users that a backend asks about in one request.
pub const PRESENCE_ASKED_MAX: usize = 1_000;
/// How long it is kept when a user was last connected.
pub const LAST_SEEN_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Users of which it is kept. The oldest give way.
pub const LAST_SEEN_USERS_MAX: usize = 100_000;
/// Bytes of the names of these users and of their entries: 100,000 names of 80 bytes.
pub const LAST_SEEN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Watchers of the live view at once: a few people and programs.
pub const WATCHERS_MAX: usize = 8;
/// Records that wait for one watcher: what happens while a terminal scrolls for a second.
pub const WATCHER_RECORDS_MAX: usize = 1_000;
/// Bytes of the records that wait for one watcher: all of them at 1 kB each.
pub const WATCHER_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a payload that a watcher is shown: enough to see what it is.
pub const WATCHED_PAYLOAD_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a filter of the live view that nodes tell each other: three names with each byte percent-encoded, and the rest.
pub const WATCH_FILTER_BYTES_MAX: usize = 4 * 1024;
/// Bytes of records that a node tells one that watches it in one message, after which a message ends. It goes ten times a
/// second at most, so a node that watches can read it, and Redis pass it on.
pub const WATCHED_PORTION_BYTES: usize = 64 * 1024;
/// Bytes of such a message: a portion, and behind it the longest record, which names 200 users and channels.
pub const WATCHED_MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Bytes of log lines that wait for standard error: some 6,000 lines. A reader that stops for a moment misses
/// fewer, and it is little memory for a server.
pub const LOG_QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// How long a server that was told to stop goes on as before. By default it does not wait for balancers to
/// notice.
pub const DRAIN_DELAY: Duration = Duration::ZERO;
/// How long a server that was told to stop takes to close its connections.
pub const DRAIN_WAIT_MAX: Duration = Duration::from_secs(30);
/// Connections told per second that the server stops. Each client comes back to another node, where a
/// handshake with TLS costs up to 1 ms of a core: at this rate that node spends one core on them.
pub const CLOSES_PER_SECOND: usize = 1_000;
/// Worker threads of one server: a session id names its worker in one byte.
pub const WORKERS_MAX: usize = 256;
/// File descriptors kept back from connections: listeners, log files, brokers, admin.
pub const DESCRIPTORS_RESERVED: u64 = 256;
/// Connections accepted beyond the limit, to push or to ask for health. Each answers one request, so that a
/// few backends with a few requests each find room.
pub const CONNECTIONS_SPARE: usize = 64;
/// How long a connection beyond the limit may take to send its request head. Backends and balancers are near.
pub const SPARE_HEAD_WAIT_MAX: Duration = Duration::from_secs(2);
/// Time between two log lines about the same thing, where any client can cause it.
pub const LOG_PAUSE: Duration = Duration::from_secs(10);
/// First pause after a failed `accept`.
pub const ACCEPT_BACKOFF_MIN: Duration = Duration::from_millis(10);
/// Longest pause after failed `accept`s.
pub const ACCEPT_BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Connections that wait in the kernel to be accepted.
pub const LISTEN_BACKLOG: u32 = 4_096;
/// Kernel send buffer of a connection. Linux by itself lets it grow to 4 MB, which hides for long that a
/// reader has stalled.
pub const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// How long sent bytes may stay unacknowledged before the kernel ends the connection.
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

const _: () = {
    assert!(BATCH_DISPATCHES_MAX * 2 < INBOX_DISPATCHES_MAX, "a batch fits beside other pushes");
    assert!(PUSH_BODY_BYTES_MAX <= EXPANSION_BYTES_MAX, "a push to one target is never too large");
    assert!(PUSH_BODY_BYTES_MAX * BODIES_SHARE <= BODIES_BYTES_MAX, "one address may push the largest body");
    assert!(PUSH_BODY_BYTES_MAX <= OUTBOX_BYTES_MAX, "an event fits into an outbox");
    assert!(MESSAGE_BYTES_MAX <= POLLING_BODY_BYTES_MAX, "a message fits into a polling body");
    assert!(CHANNELS_PER_CONNECTION_MAX <= MESSAGE_BURST as usize, "joining all channels is no flood");
    assert!(CHANNELS_PER_CONNECTION_MAX <= CHANNELS_PER_JOIN_MAX, "one join asks for all channels");
    assert!(SOCKJS_MESSAGES_MAX <= MESSAGE_BURST as usize, "what one round trip queued is no flood");
    assert!(PRESENCE_USERS_AGAIN < PRESENCE_USERS_MAX, "a large channel does not become small at once");
    assert!(
        PRESENCE_GRACE.as_secs() < PRESENCE_DEPLOY_GRACE.as_secs(),
        "a deploy takes longer than a reload"
    );
    assert!(HOOK_BATCH_BYTES_MAX * 2 < HOOK_BYTES_MAX, "a batch does not wait for another one");
    assert!(MESSAGE_BYTES_MAX <= OUTBOX_BYTES_MAX, "an echo fits into an outbox");
    assert!(ASSET_BYTES_MAX <= ASSETS_BYTES_MAX, "the largest file fits into the memory for files");
    assert!(JWT_BYTES_MAX < MESSAGE_BYTES_MAX, "a token fits into a message");
    assert!(
        VERIFICATION_WAIT_MAX.as_secs() < PING_TIMEOUT.as_secs(),
        "an IDENT ends before a heartbeat is late"
    );
};
