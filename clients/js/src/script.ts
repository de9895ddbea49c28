// What a script tag gives: the global TURTED, which has the class of errors too.

import { TURTED } from './client';
import { TurtedError } from './errors';

Object.assign(globalThis, { TURTED: Object.assign(TURTED, { TurtedError }) });
