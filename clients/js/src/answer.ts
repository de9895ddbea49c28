// The promises of the public interface: a rejection that nobody handles is told, and does not end a node process.

import type { Core } from './core';
import { tell } from './emitter';
import { plan } from './state';

type Tell = (error: any) => void;

export class Answer<T> extends Promise<T> {
  _isHandled?: boolean;
  _tell?: Tell;

  /** Tells of a rejection unless somebody handles it. */
  _watch(tell: Tell): this {
    this._tell = tell;
    super.then(undefined, (error) => this._isHandled || tell(error));
    return this;
  }

  // `await`, `catch` and `finally` come here too. What they return is watched in turn.
  override then<A = T, B = never>(
    done?: ((value: T) => A | PromiseLike<A>) | null,
    failed?: ((error: any) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this._isHandled = true;
    const next = super.then(done, failed) as Answer<A | B>;
    return this._tell ? next._watch(this._tell) : next;
  }
}

/** A promise, and the means to settle it. */
export interface Deferred<T> {
  _promise: Promise<T>;
  _resolve(value: T): void;
  _reject(error: unknown): void;
}

/** A promise for the page. What it waits for is planned. */
export function defer<T>(core: Core): Deferred<T> {
  const deferred = {} as Deferred<T>;
  deferred._promise = new Answer<T>((resolve, reject) => {
    deferred._resolve = resolve;
    deferred._reject = reject;
  })._watch((error) => tell(core, error));
  plan(core);
  return deferred;
}
