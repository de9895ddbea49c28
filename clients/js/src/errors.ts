// What went wrong, in a form that programs and people can read.

/** A refusal of the server, or a failure of the client. */
export class TurtedError extends Error {
  /**
   * @param code for programs; it does not change. Those of the server are in docs/protocol-v1.md
   * @param reason for people
   * @param rule what holds, with the key of the server's configuration if there is one
   */
  constructor(
    readonly code: string,
    readonly reason: string = code,
    readonly rule?: string,
  ) {
    super(reason);
  }

  override get name(): string {
    return 'TurtedError';
  }
}
