//! Where in bytes the references are.
