//! The real binary, started on a free port, spoken to as clients do.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod compact;
#[cfg(test)]
mod config;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod elastic;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod hec;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod patterns;
#[cfg(test)]
mod push;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod start;
#[cfg(test)]
mod support;
#[cfg(test)]
mod syslog;
#[cfg(test)]
mod tail;
#[cfg(test)]
mod tenants;
#[cfg(test)]
mod tls;
