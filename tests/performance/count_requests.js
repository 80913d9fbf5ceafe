// Loaded into a server with `node --require`: counts the requests that it gets by what they ask for, the last part of
// X-Amz-Target. `GET /_count` answers the counts, `POST /_count` sets them to zero.

'use strict'

const http = require('http')

const { emit } = http.Server.prototype
let counts = {}

http.Server.prototype.emit = function (event, request, response, ...others) {
  if (event !== 'request') return emit.call(this, event, request, response, ...others)
  if (request.url === '/_count') {
    if (request.method === 'POST') counts = {}
    request.resume()
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(counts))
    return true
  }
  const operation = String(request.headers['x-amz-target']).split('.').pop()
  counts[operation] = (counts[operation] || 0) + 1
  return emit.call(this, event, request, response, ...others)
}
