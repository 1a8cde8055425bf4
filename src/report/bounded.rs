//! A report with an end: for a webhook, whose receiver takes only so much.

use std::collections::HashMap;

use serde::Serialize;

use crate::report::Report;

impl Report {
    /// Returns the report with as many targets, and their reasons, as fit in so many bytes of JSON: those first that ask the
    /// most of a person. The rest is counted in `targets_left_out`; `totals` and `waves` count all of them.
    #[must_use]
    pub fn bounded(mut self, most: usize) -> Self {
        let mut order: Vec<usize> = (0..self.targets.len()).collect();
        order.sort_by_key(|&place| std::cmp::Reverse(self.targets[place].outcome.weight()));
        let mut kept = vec![false; self.targets.len()];
        let mut reasons: HashMap<usize, usize> = HashMap::new();
        let mut bytes = 0;
        for place in order {
            let target = &self.targets[place];
            let fresh = target.reason.filter(|reason| !reasons.contains_key(reason));
            bytes += size(target) + fresh.map_or(0, |reason| size(&self.reasons[reason]));
            if bytes > most {
                break;
            }
            kept[place] = true;
            reasons.extend(fresh.map(|reason| (reason, 0)));
        }
        let mut places: Vec<usize> = reasons.keys().copied().collect();
        places.sort_unstable();
        reasons = places.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        self.targets_left_out += kept.iter().filter(|kept| !**kept).count();
        let mut keeps = kept.into_iter();
        self.targets.retain(|_| keeps.next().unwrap_or_default());
        for target in &mut self.targets {
            target.reason = target.reason.and_then(|reason| reasons.get(&reason).copied());
        }
        self.reasons = places.into_iter().filter_map(|place| self.reasons.get(place).cloned()).collect();
        self
    }
}

/// Returns how many bytes of JSON something takes.
fn size(part: &impl Serialize) -> usize {
    serde_json::to_vec(part).map_or(0, |json| json.len())
}
