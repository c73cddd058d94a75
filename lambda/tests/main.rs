//! The real programs, started by a Lambda Runtime API of our own making, given events as AWS documents them.

#[cfg(test)]
mod compactor;
#[cfg(test)]
mod http;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod support;
