/**
 * Node 20 lacks Promise.withResolvers, which aws-local-stepfunctions calls. Imported for its effect, before that
 * library runs; to be removed with Node 20.
 */
const promises = Promise as unknown as { withResolvers?: () => object };

promises.withResolvers ??= () => {
  let resolve: unknown;
  let reject: unknown;
  const promise = new Promise((...settlers) => {
    [resolve, reject] = settlers;
  });
  return { promise, resolve, reject };
};
