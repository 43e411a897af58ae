import { inject } from 'vitest';

/** 18, 17, …: of the server that the tests share. Several facts differ by it, and `npm run test:versions` asks them all. */
export const serverMajor: number = inject('sharedPostgres').major;
