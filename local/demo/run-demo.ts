import { environment } from '../../lambda/environment.ts';
import { type AwsEndpoint, withAwsEndpoint } from '../aws/aws-endpoint.ts';
import { leftAtSignal } from '../cli/interruption.ts';
import { LocalCloudFormation } from '../cloudformation/provider-framework.ts';
import { type EmbeddedPostgres, withEmbeddedPostgres } from '../postgres/embedded-postgres.ts';
import { NEON_COMPUTE_SETTINGS, withNeonProxy } from '../wire/neon-proxy.ts';
import { SECRET_NAME } from './assembly.ts';
import { DemoDisplay } from './demo-display.ts';
import { type Database, type DemoRequest, deployTwoReleases } from './two-releases.ts';
import { withClient } from './with-client.ts';

/**
 * Starts a server, a proxy and AWS's services, and deploys two releases there; true where all became valid. Everything but AWS's own machines is what a
 * real deploy runs: the Provider framework, the bundled functions, Neon's driver, the synthesized state machine. What
 * is started ends on every path.
 */
export function runDemo(request: DemoRequest): Promise<boolean> {
  const display = new DemoDisplay(request.terminal);
  display.line("Starting PostgreSQL, behind a proxy that cancels as Neon's does.");
  return withEmbeddedPostgres(
    { authentication: 'password', settings: NEON_COMPUTE_SETTINGS },
    async (server) => {
      const database = await createDatabase(server);
      return withNeonProxy({ target: database.url }, (proxy) =>
        withAwsEndpoint(async (aws) => {
          display.line(
            `PostgreSQL ${server.major} runs. Synthesizing the stack of two releases, as cdk synth does.`,
          );
          aws.secrets.put(SECRET_NAME, database.url);
          // The functions reach the database as on Lambda with Neon: its own driver, over WebSocket, through the proxy.
          const behindProxy: AwsEndpoint = {
            ...aws,
            environment: { ...aws.environment, [environment.neonProxy]: proxy.wsProxy },
          };
          const cloudFormation = await LocalCloudFormation.open(behindProxy, display.log);
          try {
            return await leftAtSignal(request.signal, () =>
              deployTwoReleases(request, { server, database, aws, cloudFormation, display }),
            );
          } finally {
            display.stop();
            aws.stepFunctions.abortAll();
            await cloudFormation.stop();
          }
        }),
      );
    },
  );
}

/** An owner without superuser, as on Neon, where the owner may create dblink; here the superuser does it. */
async function createDatabase(server: EmbeddedPostgres): Promise<Database> {
  await withClient(server.url, async (client) => {
    await client.query(`create role app login password 'app-password'`);
    await client.query('create database app owner app');
  });
  const adminUrl = server.urlOf({ database: 'app' });
  await withClient(adminUrl, (client) => client.query('create extension dblink'));
  return { url: server.urlOf({ database: 'app', user: 'app', password: 'app-password' }), adminUrl };
}
