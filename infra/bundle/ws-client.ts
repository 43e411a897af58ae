/** The client of ws, in place of the whole package in the functions' bundle, which needs no server. */
// @ts-expect-error It has no types of its own; what imports it takes those of ws.
export { default as WebSocket } from '../../node_modules/ws/lib/websocket.js';
