//! Does `overlayadm map` do with a real etcd what it says?
#![forbid(unsafe_code)]

mod commands;
mod etcd;
