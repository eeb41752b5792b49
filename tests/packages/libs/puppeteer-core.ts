import puppeteer from "puppeteer-core";

/** What cannot work must say why: there is no browser in the jail, nor may an app start one of its own. */
export default () =>
  puppeteer.launch({ executablePath: "/usr/bin/chromium", headless: true }).catch((error: Error) => error.message);
