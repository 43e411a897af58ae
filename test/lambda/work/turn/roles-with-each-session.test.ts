import { it } from 'vitest';
import { playRoleCase, roleCases, roleSample } from './role-matrix.ts';

const rest = roleCases.filter((one) => !roleSample.includes(one));

it.each(rest)('$operation as $role, in a session of kind $session', playRoleCase);
