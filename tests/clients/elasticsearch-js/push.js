// Sends every line of a file as a document through Elasticsearch's JavaScript client. Usage: push.js URL LINES [retries]
//
// The client repeats a request that was answered 502, 503 or 504 or not at all, and the helper a document that was answered 429; a request that was answered 429 it gives up.
'use strict'
const fs = require('node:fs')
const { Client } = require('@elastic/elasticsearch')

const [url, path, mode] = process.argv.slice(2)
const lines = fs.readFileSync(path, 'utf8').split('\n').filter(line => line !== '')

async function main () {
  const client = new Client({ node: url + '/elasticsearch', compression: true })
  const info = await client.info()
  if (!info.version.number.startsWith('8.')) throw new Error(info.version.number)
  const start = Date.now()
  const result = await client.helpers.bulk({
    datasource: lines.map((message, n) => ({
      '@timestamp': start + n,
      message,
      service: { name: 'elasticsearch-js', environment: 'test' },
      log: { level: ['info', 'warn', 'error'][n % 3] }
    })),
    // In small requests, so that there are some to be repeated.
    flushBytes: mode === 'retries' ? 5000 : 100000,
    concurrency: 3,
    onDocument: () => ({ create: { _index: 'lines' } }),
    onDrop: doc => { throw new Error(JSON.stringify(doc)) }
  })
  console.log(result.successful)
  await client.close()
}

main().catch(error => { console.error(error); process.exit(1) })
