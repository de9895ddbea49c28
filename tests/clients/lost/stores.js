'use strict';
// Where the servers of a test keep their log: LOST_STORE is `memory`, `disk`, or, by default, both; LOST_SYNC is
// `log.sync` of those on disk.

const { temporary } = require('./temporary');

const STORES = (process.env.LOST_STORE || 'memory,disk').split(',');
const SYNC = process.env.LOST_SYNC || 'interval';

/** The section `log` of the configuration, with a directory that ends with the test `t`. */
function logOf(t, store) {
  return store === 'disk' ? { store, sync: SYNC, directory: temporary(t) } : { store };
}

module.exports = { logOf, STORES, SYNC };
