//! Popularity by Zipf's law: the second is drawn half as often as the first, the third a third as often.

/// A distribution over numbers from 1 on, with the exponent 1.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// For each number the share of those up to it, times the sum of all weights.
    cumulated: Vec<f64>,
}

impl Zipf {
    /// Over the numbers from 1 to `numbers`.
    #[must_use]
    pub fn new(numbers: u32) -> Self {
        let mut sum = 0.0;
        let cumulated = (1..=numbers)
            .map(|number| {
                sum += 1.0 / f64::from(number);
                sum
            })
            .collect();
        Self { cumulated }
    }

    /// So many numbers, the same ones for the same `seed`.
    #[must_use]
    pub fn draw(&self, count: u32, seed: u64) -> Vec<u32> {
        let mut state = seed;
        (0..count).map(|_| self.one(uniform(&mut state))).collect()
    }

    /// The number at `share`, from 0 to 1, of all weights.
    #[must_use]
    pub fn one(&self, share: f64) -> u32 {
        let sum = self.cumulated.last().copied().unwrap_or_default();
        let place = self.cumulated.partition_point(|upto| *upto < share * sum);
        u32::try_from(place.min(self.cumulated.len().saturating_sub(1)) + 1).unwrap_or(u32::MAX)
    }
}

/// The next number from 0 to 1: SplitMix64, which every language has.
pub fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let high = u32::try_from(mixed >> 32).unwrap_or(0);
    f64::from(high) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_first_comes_twice_as_often_as_the_second() {
        let drawn = Zipf::new(100).draw(100_000, 1);
        let count = |wanted: u32| drawn.iter().filter(|number| **number == wanted).count();
        let (first, second) = (count(1), count(2));
        assert!(first.abs_diff(2 * second) < first / 20, "{first} {second}");
        assert!(drawn.iter().all(|number| (1..=100).contains(number)));
        // What the aims of the hit rate assume.
        let many: HashSet<u32> = Zipf::new(10_000).draw(100_000, 1).into_iter().collect();
        assert!((8_400..8_700).contains(&many.len()), "{}", many.len());
    }
}
