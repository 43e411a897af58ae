/** A type that the folder creates, as far as the safety of later statements depends on it. */
export type UserType =
  | { readonly kind: 'enum'; readonly values: readonly string[] }
  /** `constrained`: it has a CHECK or NOT NULL, which Postgres has to test for every value. */
  | { readonly kind: 'domain'; readonly constrained: boolean };
