/**
 * What the X-Ray SDK and its cls-hooked use of semver, in place of the whole package in the functions' bundle: one
 * comparison of two versions.
 */
// @ts-expect-error It has no types of its own, and nobody here calls it.
export { default as gte } from '../../node_modules/semver/functions/gte.js';
