//! A value that is passed on from a deserializer to a serializer, without a tree of values between them.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Deserializer, Serialize, Serializer};

/// The value of a deserializer. It can be written once.
pub(super) struct Passed<D>(Cell<Option<D>>);

impl<D> Passed<D> {
    /// Passes on what a deserializer has.
    pub(super) fn new(deserializer: D) -> Self {
        Self(Cell::new(Some(deserializer)))
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Passed<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let deserializer = self.0.take().ok_or_else(|| S::Error::custom("it was written already"))?;
        deserializer.deserialize_any(To(serializer)).map_err(S::Error::custom)
    }
}

/// Where a value goes.
struct To<S>(S);

impl<'de, S: Serializer> Visitor<'de> for To<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<F: Error>(self, value: bool) -> Result<S::Ok, F> {
        self.0.serialize_bool(value).map_err(F::custom)
    }

    fn visit_i64<F: Error>(self, value: i64) -> Result<S::Ok, F> {
        self.0.serialize_i64(value).map_err(F::custom)
    }

    fn visit_u64<F: Error>(self, value: u64) -> Result<S::Ok, F> {
        self.0.serialize_u64(value).map_err(F::custom)
    }

    fn visit_f64<F: Error>(self, value: f64) -> Result<S::Ok, F> {
        self.0.serialize_f64(value).map_err(F::custom)
    }

    fn visit_str<F: Error>(self, value: &str) -> Result<S::Ok, F> {
        self.0.serialize_str(value).map_err(F::custom)
    }

    fn visit_unit<F: Error>(self) -> Result<S::Ok, F> {
        self.0.serialize_unit().map_err(F::custom)
    }

    fn visit_none<F: Error>(self) -> Result<S::Ok, F> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<S::Ok, D::Error> {
        value.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<S::Ok, A::Error> {
        let mut list = self.0.serialize_seq(items.size_hint()).map_err(A::Error::custom)?;
        while items.next_element_seed(Item(&mut list))?.is_some() {}
        list.end().map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<S::Ok, A::Error> {
        let mut map = self.0.serialize_map(members.size_hint()).map_err(A::Error::custom)?;
        while members.next_key_seed(Key(&mut map))?.is_some() {
            members.next_value_seed(Member(&mut map))?;
        }
        map.end().map_err(A::Error::custom)
    }
}

/// The list to which the next item is added.
struct Item<'a, S>(&'a mut S);

impl<'de, S: SerializeSeq> DeserializeSeed<'de> for Item<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.serialize_element(&Passed::new(deserializer)).map_err(D::Error::custom)
    }
}

/// The map to which the next key is added.
struct Key<'a, S>(&'a mut S);

impl<'de, S: SerializeMap> DeserializeSeed<'de> for Key<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.serialize_key(&Passed::new(deserializer)).map_err(D::Error::custom)
    }
}

/// The map to whose last key the value belongs.
struct Member<'a, S>(&'a mut S);

impl<'de, S: SerializeMap> DeserializeSeed<'de> for Member<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.serialize_value(&Passed::new(deserializer)).map_err(D::Error::custom)
    }
}
