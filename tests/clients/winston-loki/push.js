// Logs every line of a file through winston-loki. Usage: push.js URL LINES json|protobuf
'use strict'
const fs = require('node:fs')
const winston = require('winston')
const LokiTransport = require('winston-loki')

const [url, path, encoding] = process.argv.slice(2)
const lines = fs.readFileSync(path, 'utf8').split('\n').filter(line => line !== '')

let failure
const transport = new LokiTransport({
  host: url,
  json: encoding === 'json',
  labels: { client: `winston-loki-${encoding}`, env: 'test' },
  // Without a format the transport appends a blank to each line.
  format: winston.format.printf(info => info.message),
  interval: 1,
  gracefulShutdown: false,
  onConnectionError: error => { failure = error }
})
if (encoding === 'protobuf' && transport.batcher.options.json) {
  throw new Error('the snappy module did not load, so winston-loki fell back to JSON')
}

const logger = winston.createLogger({ level: 'silly', transports: [transport] })
const levels = ['info', 'warn', 'error', 'debug']
lines.forEach((line, n) => logger.log({ level: levels[n % 4], message: line, seq: n }))

setImmediate(async () => {
  await transport.close()
  if (failure) throw failure
  console.log(lines.length)
})
