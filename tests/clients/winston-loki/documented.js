// Logs every line of a file through winston-loki, configured as docs/clients/nodejs.md shows. Usage: documented.js URL LINES PAGE
'use strict'
const fs = require('node:fs')

const [, path, page] = process.argv.slice(2)
const lines = fs.readFileSync(path, 'utf8').split('\n').filter(line => line !== '')
const { logger, transport } = require(page)

const levels = ['info', 'warn', 'error']
lines.forEach((line, n) => logger.log({ level: levels[n % 3], message: line, number: n }))

setImmediate(async () => {
  await transport.close()
  console.log(lines.length)
})
