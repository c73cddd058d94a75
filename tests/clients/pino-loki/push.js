// Logs every line of a file through pino and pino-loki, configured as docs/clients/nodejs.md shows. Usage: push.js URL LINES PAGE
'use strict'
const fs = require('node:fs')

const [, path, page] = process.argv.slice(2)
const lines = fs.readFileSync(path, 'utf8').split('\n').filter(line => line !== '')
const { logger } = require(page)

const levels = ['info', 'warn', 'error']
lines.forEach((line, n) => logger[levels[n % 3]]({ meta: { number: n } }, line))

// The end of the program has to send them.
console.log(lines.length)
