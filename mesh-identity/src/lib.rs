//! Proves who is calling: keys, certificates, rotation, and rustls configurations for mutual TLS.
