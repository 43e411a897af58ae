import { handOverStories, TOOLS } from './tools.ts';

// adopt-and-mirror.test.ts has the first two.
handOverStories(TOOLS.slice(2));
