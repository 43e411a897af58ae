// One Lambda environment: a process of its own, in plain JavaScript so that Node runs it without a loader, as
// Lambda does. It loads the handler once, then answers one event after another.
const [moduleUrl = '', exportName = ''] = process.argv.slice(2);

// Ctrl-C reaches the whole process group; the parent decides when its functions end, and its end is ours.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());

let handler;
process.on('message', async ({ event, deadline, functionName, requestId }) => {
  process.send(await answer(event, { deadline, functionName, requestId }));
});

async function answer(event, { deadline, functionName, requestId }) {
  const context = {
    functionName,
    awsRequestId: requestId,
    functionVersion: '$LATEST',
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
  try {
    handler ??= (await import(moduleUrl))[exportName];
    const value = await handler(event, context);
    return { kind: 'returned', payload: JSON.stringify(value ?? null) };
  } catch (error) {
    if (!(error instanceof Error))
      return { kind: 'threw', errorType: typeof error, errorMessage: String(error) };
    return { kind: 'threw', errorType: error.name, errorMessage: error.message };
  }
}
