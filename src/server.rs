//! The only wiring: builds every engine, binds, serves, drains.
