/** ICU's data and its time zones are inside Bun. */
export default () => {
  const noon = new Date("2024-07-01T12:00:00Z");
  const at = (timeZone: string, locale: string) =>
    new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short", timeZone }).format(noon).replace(/\s/g, " ");
  return [
    at("America/New_York", "en-US"),
    at("Asia/Tokyo", "de-DE"),
    new Intl.NumberFormat("fr-FR", { style: "currency", currency: "EUR" }).format(1234.5).replace(/\s/g, " "),
    ["ä", "z", "a"].sort(new Intl.Collator("sv").compare),
    typeof Intl.DateTimeFormat().resolvedOptions().timeZone,
  ];
};
