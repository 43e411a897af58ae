declare module 'pg/lib/crypto/sasl.js' {
  namespace sasl {
    interface Session {
      readonly mechanism: string;
      readonly response: string;
    }
    function startSession(mechanisms: readonly string[], stream: false): Session;
    function continueSession(session: Session, password: string, data: string, stream: false): Promise<void>;
  }
  export default sasl;
}
