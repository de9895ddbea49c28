'use strict';
// rabbitmq-server as a child process on ports of its own, with the program by which Erlang finds its nodes.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { afterwards } = require('./afterwards');
const { freePorts } = require('./ports');
const { until } = require('./waiting');

// The programs of the package; those in /usr/sbin change the user.
const PROGRAM = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const INSTALL = 'apt-get install --no-install-recommends rabbitmq-server';
// It takes 4 s of a processor to start, which others may use as well.
const START_MS_MAX = 60_000;

/** Runs a program until the test `t` has ended. */
function run(t, program, args, options) {
  const child = spawn(program, args, { stdio: 'ignore', ...options });
  const exited = new Promise((resolve) => child.once('exit', resolve).once('error', resolve));
  afterwards(t, async () => {
    child.kill('SIGKILL');
    await exited;
  });
}

/** Whether it speaks AMQP there: it answers the first bytes of a client. */
function answers(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('AMQP\0\0\x09\x01', 'latin1'));
    socket.once('data', () => resolve(true)).once('error', () => resolve(false)).once('close', () => resolve(false));
    socket.once('data', () => socket.destroy());
  });
}

/** Starts a broker that ends with the test `t`. Returns its address, with the user that it has as it is installed. */
async function startRabbitMq(t) {
  const [port, distribution, epmd] = await freePorts(3);
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'turted-rabbitmq-'));
  afterwards(t, () => fs.rmSync(directory, { recursive: true, force: true }));
  run(t, 'epmd', ['-port', String(epmd), '-address', '127.0.0.1']);
  const env = {
    ...process.env,
    HOME: directory,
    // Then the shell becomes the node instead of waiting for it.
    RUNNING_UNDER_SYSTEMD: 'true',
    RABBITMQ_NODENAME: `turted-${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: path.join(directory, 'mnesia'),
    RABBITMQ_LOG_BASE: path.join(directory, 'logs'),
    RABBITMQ_CONFIG_FILE: path.join(directory, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: path.join(directory, 'advanced.config'),
    RABBITMQ_CONF_ENV_FILE: path.join(directory, 'env.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: path.join(directory, 'plugins'),
    RABBITMQ_PID_FILE: path.join(directory, 'pid'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none',
    ERL_EPMD_PORT: String(epmd),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_CRASH_DUMP_SECONDS: '0',
  };
  run(t, PROGRAM, [], { env });
  await until(() => answers(port), () => `rabbitmq-server; install it with: ${INSTALL}`, START_MS_MAX);
  return `amqp://guest:guest@127.0.0.1:${port}/`;
}

module.exports = { startRabbitMq };
