//! What is tried again, and after how long: passing trouble a few times with growing pauses, or
//! after as long as the registry asks for.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::RegistryError;

const ATTEMPTS: u32 = 6;
/// A registry that asks for more is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Counts tries that got no further.
#[derive(Debug)]
pub struct Retry {
    delay: Duration,
    failed: u32,
}

impl Retry {
    /// `delay` is the first pause; each later one doubles it.
    pub fn new(delay: Duration) -> Self {
        Self { delay, failed: 0 }
    }

    /// A try got further than those before.
    pub fn progressed(&mut self) {
        self.failed = 0;
    }

    /// Does `attempt` until it succeeds, or fails in a way that more tries would not change.
    pub async fn run<T>(
        mut self,
        attempt: impl AsyncFn() -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => self.after(error).await?,
            }
        }
    }

    /// Waits, if the same may succeed later; else gives the error back.
    pub async fn after(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.failed += 1;
        let asked = error.retry_after();
        if !error.is_transient()
            || self.failed >= ATTEMPTS
            || asked.is_some_and(|asked| asked > LONGEST_PAUSE)
        {
            return Err(error);
        }
        let own = self.delay * 2u32.saturating_pow(self.failed - 1);
        tokio::time::sleep(asked.unwrap_or(own).min(LONGEST_PAUSE)).await;
        Ok(())
    }
}

/// Seconds that the server asks to wait for. Dates, the other form, are not sent by registries.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
