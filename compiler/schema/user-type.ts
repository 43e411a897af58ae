/** A type that the folder makes, as far as the safety of later statements hangs on it. */
export type UserType =
  | { readonly kind: 'enum'; readonly values: readonly string[] }
  /** `constrained`: it has a CHECK or NOT NULL, which Postgres has to ask of every value. */
  | { readonly kind: 'domain'; readonly constrained: boolean };
