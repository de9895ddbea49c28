// The push endpoint of the peers: takes the body that turted takes, and hands it to `dispatch`.
'use strict';

const BODY_BYTES_MAX = 1024 * 1024;

function refuse(response, status) {
  response.writeHead(status);
  response.end();
}

/** Answers a push; `dispatch(targets, packet)` sends `packet` to `targets`. */
exports.answer = function answer(request, response, dispatch) {
  if (request.method !== 'POST' || !request.url.startsWith('/push')) {
    return refuse(response, 404);
  }
  const chunks = [];
  let bytes = 0;
  request.on('data', (chunk) => {
    bytes += chunk.length;
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
  });
  request.on('end', () => {
    if (bytes > BODY_BYTES_MAX) return refuse(response, 413);
    let body;
    try {
      body = JSON.parse(Buffer.concat(chunks).toString());
    } catch {
      return refuse(response, 400);
    }
    dispatch(body.targets ?? {}, { event: body.event, payload: body.payload });
    response.end('200 OK');
  });
};
