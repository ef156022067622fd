export { freePort } from '../broker/store/embedded/free-port.ts';
