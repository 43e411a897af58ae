import { networkInterfaces } from 'node:os';

/**
 * An address of this machine from which a server sees a client come as from elsewhere than 127.0.0.1. All of
 * 127.0.0.0/8 won't do: the kernel sends from 127.0.0.1 to any of it.
 */
export function secondAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const chosen =
    addresses.find(({ address }) => address === '::1') ??
    addresses.find(({ family, internal }) => family === 'IPv4' && !internal);
  if (chosen === undefined) throw new Error('This machine has no address but 127.0.0.1.');
  return chosen.address;
}
