"""CryptoSatX: signals for crypto perpetual futures that can be traced and checked."""
