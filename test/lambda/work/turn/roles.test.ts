import { it } from 'vitest';
import { playRoleCase, roleSample } from './role-matrix.ts';

it.each(roleSample)('$operation as $role, in a session of kind $session', playRoleCase);
