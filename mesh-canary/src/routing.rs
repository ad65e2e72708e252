/// Traffic of the apex: everything that the canary does not get goes to the primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Routing {
    /// Weight of the canary, out of [`Plan::total`](crate::Plan::total).
    pub canary: u32,
    /// Requests that [`Plan::matches`](crate::Plan::matches) selects all go to the canary.
    pub matched: bool,
    /// Percentage of the primary's requests that are also sent to the canary, answers ignored.
    pub mirror: u32,
}

impl Routing {
    /// Everything to the primary, nothing mirrored.
    pub const PRIMARY: Self = Self {
        canary: 0,
        matched: false,
        mirror: 0,
    };

    /// `canary` of the weight to the canary, the rest to the primary.
    pub fn split(canary: u32) -> Self {
        Self {
            canary,
            ..Self::PRIMARY
        }
    }

    /// Returns true if callers may be answered by the canary.
    pub fn reaches_canary(self) -> bool {
        self.canary > 0 || self.matched
    }

    /// Returns true if the canary gets requests, mirrored ones included.
    pub fn is_seen_by_canary(self) -> bool {
        self.reaches_canary() || self.mirror > 0
    }
}
