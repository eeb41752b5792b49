import * as cheerio from "cheerio";

export default () => {
  const $ = cheerio.load("<ul><li class=a>One<li class=b>Two</ul>");
  $("li.b").attr("title", "2nd").text("Zwei");
  return [$("li").length, $("ul").html()];
};
