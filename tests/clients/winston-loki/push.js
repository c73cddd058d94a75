// Logs every line of a file through winston-loki. Usage: push.js URL LINES json|protobuf [retries]
//
// A batch that failed is sent again with the next one, a minute later, but not any more once the transport is closed. With `retries` the minute is shorter, lines come in
// portions, and the transport is closed when standard input ends.
'use strict'
const fs = require('node:fs')
const winston = require('winston')
const LokiTransport = require('winston-loki')

const [url, path, encoding, mode] = process.argv.slice(2)
const retries = mode === 'retries'
const lines = fs.readFileSync(path, 'utf8').split('\n').filter(line => line !== '')

let failure
const transport = new LokiTransport({
  host: url,
  json: encoding === 'json',
  labels: { client: `winston-loki-${encoding}`, env: 'test' },
  // Without a format the transport appends a blank to each line.
  format: winston.format.printf(info => info.message),
  interval: retries ? 0.05 : 1,
  gracefulShutdown: false,
  onConnectionError: error => { if (!retries) failure = error }
})
if (encoding === 'protobuf' && transport.batcher.options.json) {
  throw new Error('the snappy module did not load, so winston-loki fell back to JSON')
}

const logger = winston.createLogger({ level: 'silly', transports: [transport] })
const levels = ['info', 'warn', 'error', 'debug']
const log = (line, n) => logger.log({ level: levels[n % 4], message: line, seq: n })

async function close () {
  await transport.close()
  if (failure) throw failure
  console.log(lines.length)
}

async function inPortions () {
  transport.batcher.circuitBreakerInterval = 100
  for (let n = 0; n < lines.length; n++) {
    log(lines[n], n)
    if (n % 20 === 19) await new Promise(resolve => setTimeout(resolve, 50))
  }
  process.stdin.on('end', close).resume()
}

if (retries) {
  inPortions()
} else {
  lines.forEach(log)
  setImmediate(close)
}
