//! What would make the pool agree with the carrier's account.

use std::collections::BTreeSet;

use super::NumberState;
use crate::phone::PhoneNumber;

/// What would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Numbers of the account that are not in the pool, in order.
    pub add: Vec<PhoneNumber>,
    /// Numbers in service that are not in the account, in order.
    pub retire: Vec<PhoneNumber>,
    /// How many numbers of the pool stay as they are.
    pub unchanged: usize,
    /// Whether every number in service would be retired.
    pub retires_all: bool,
}

impl Plan {
    /// Compares the account with the pool.
    pub fn of(account: &BTreeSet<PhoneNumber>, pool: &[(PhoneNumber, NumberState)]) -> Self {
        let known: BTreeSet<&PhoneNumber> = pool.iter().map(|(number, _)| number).collect();
        let in_service = || pool.iter().filter(|(_, state)| *state == NumberState::InService);
        let gone =
            in_service().map(|(number, _)| number).filter(|number| !account.contains(number));
        let retire: BTreeSet<&PhoneNumber> = gone.collect();
        Self {
            add: account.iter().filter(|number| !known.contains(number)).cloned().collect(),
            unchanged: pool.len() - retire.len(),
            retires_all: !retire.is_empty() && retire.len() == in_service().count(),
            retire: retire.into_iter().cloned().collect(),
        }
    }

    /// Whether the pool agrees with the account.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.retire.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> PhoneNumber {
        format!("+1415555{n:04}").parse().unwrap()
    }

    #[test]
    fn only_numbers_in_service_are_retired_and_none_is_put_back() {
        use NumberState::{InService, Quarantined, Reserved, Retiring};
        let account = [1, 2, 3, 4, 9].map(number).into();
        let pool = [
            (number(1), InService),
            (number(2), Reserved),
            (number(3), Retiring),
            (number(4), Quarantined),
            (number(8), InService),
            (number(7), InService),
            (number(6), Reserved),
            (number(5), Retiring),
        ];
        let plan = Plan::of(&account, &pool);
        assert_eq!(plan.add, [number(9)]);
        assert_eq!(plan.retire, [7, 8].map(number));
        assert_eq!((plan.unchanged, plan.retires_all, plan.is_empty()), (6, false, false));

        let stranger = [number(9)].into();
        assert!(Plan::of(&stranger, &pool).retires_all);
        assert!(Plan::of(&account, &[]).retire.is_empty());
        assert!(!Plan::of(&account, &[]).retires_all);
        assert!(Plan::of(&[number(1)].into(), &pool[..1]).is_empty());
    }
}
