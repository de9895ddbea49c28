//! What a server counts, as operators read it.

use super::Http;

/// A page of metrics.
pub(crate) struct Metrics(String);

impl Metrics {
    /// Reads the page over a connection to an admin listener.
    pub(crate) fn read(admin: &mut Http) -> Self {
        let page = admin.get("/metrics");
        assert_eq!(page.status, 200, "{}", page.text());
        Self(page.text().to_owned())
    }

    /// The value of one series, its name and labels as they are written; `None` if there is no such series.
    pub(crate) fn find(&self, series: &str) -> Option<usize> {
        let value = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(value.parse().unwrap_or_else(|error| panic!("{series} {value}: {error}")))
    }

    /// The same for a series that is there.
    pub(crate) fn value(&self, series: &str) -> usize {
        self.find(series).unwrap_or_else(|| panic!("no {series} in {}", self.0))
    }

    /// All series of one name together, whatever their labels.
    pub(crate) fn sum(&self, name: &str) -> usize {
        let labelled = self.0.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
        labelled.map(|rest| rest.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    }
}
