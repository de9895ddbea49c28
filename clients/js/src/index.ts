// What the package exports.

export { TURTED } from './client';
export { TurtedError } from './errors';
export type * from './types';
