//! How many bytes a second a tenant may push (Loki's `ingestion_rate_mb` and `ingestion_burst_size_mb`), of this process alone.
//! Owns: what is left to each tenant. Must not know: where the bytes come from, which clock runs.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use schema::{IngestLimits, TenantId};

const NANOS_PER_SECOND: u128 = 1_000_000_000;
/// Tenants that are remembered before those are forgotten that have their whole burst again.
const REMEMBERED_TENANTS: usize = 1024;

/// Each tenant's allowance as one instant: when it would have its whole burst again if it sent nothing more (the "theoretical arrival time" of GCRA).
#[derive(Debug, Default)]
pub(crate) struct RateLimiter {
    full_at: Mutex<HashMap<TenantId, Duration>>,
}

impl RateLimiter {
    /// Takes `bytes` out of the tenant's allowance at `now`, since any fixed instant. Error: there is not so much left, nothing was taken; how long until there is, if ever.
    pub(crate) fn take(&self, tenant: &TenantId, bytes: u64, limits: &IngestLimits, now: Duration) -> Result<(), Option<Duration>> {
        let Some(rate) = limits.ingestion_rate else { return Ok(()) };
        let time_of = |bytes: u64| Duration::from_nanos(u64::try_from(u128::from(bytes) * NANOS_PER_SECOND / u128::from(rate.get())).unwrap_or(u64::MAX));
        let burst = limits.ingestion_burst.max(1);
        if bytes > burst {
            return Err(None);
        }
        let mut tenants = self.full_at.lock();
        if tenants.len() >= REMEMBERED_TENANTS {
            tenants.retain(|_, full_at| *full_at > now);
        }
        let full_at = tenants.entry(tenant.clone()).or_default();
        let after = (*full_at).max(now).saturating_add(time_of(bytes));
        let latest = now.saturating_add(time_of(burst));
        if after > latest {
            return Err(Some(after.saturating_sub(latest)));
        }
        *full_at = after;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn limits(rate: u64, burst: u64) -> IngestLimits {
        IngestLimits { ingestion_rate: NonZeroU64::new(rate), ingestion_burst: burst, ..IngestLimits::default() }
    }

    /// A burst at once, then a byte for each hundredth of a second.
    #[test]
    fn a_burst_then_the_rate() {
        let (limiter, limits) = (RateLimiter::default(), limits(100, 300));
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let at = Duration::from_millis;
        assert_eq!(limiter.take(&a, 300, &limits, at(5000)), Ok(()));
        assert_eq!(limiter.take(&a, 1, &limits, at(5000)), Err(Some(at(10))));
        assert_eq!(limiter.take(&b, 300, &limits, at(5000)), Ok(()), "another tenant has its own");
        assert_eq!(limiter.take(&a, 100, &limits, at(5999)), Err(Some(at(1))));
        assert_eq!(limiter.take(&a, 100, &limits, at(6000)), Ok(()), "what was refused was not taken");
        assert_eq!(limiter.take(&a, 301, &limits, at(99_000)), Err(None), "never");
        assert_eq!(limiter.take(&a, 300, &limits, at(99_000)), Ok(()), "a long rest gives no more than the burst");
        assert_eq!(limiter.take(&a, 1, &limits, at(99_000)), Err(Some(at(10))));
    }

    #[test]
    fn without_a_rate_everything_goes() {
        let limiter = RateLimiter::default();
        assert_eq!(limiter.take(&TenantId::default_tenant(), u64::MAX, &IngestLimits::default(), Duration::ZERO), Ok(()));
        assert!(limiter.full_at.lock().is_empty());
    }

    #[test]
    fn tenants_that_rest_are_forgotten() {
        let (limiter, limits) = (RateLimiter::default(), limits(1, 1));
        for index in 0..3000 {
            let tenant = TenantId::parse(&format!("t{index}")).unwrap();
            assert_eq!(limiter.take(&tenant, 1, &limits, Duration::from_secs(index * 2)), Ok(()));
        }
        assert!(limiter.full_at.lock().len() <= REMEMBERED_TENANTS);
    }
}
