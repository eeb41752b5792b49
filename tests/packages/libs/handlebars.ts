import Handlebars from "handlebars";

export default () => Handlebars.compile("{{#each all}}<b>{{this}}</b>{{/each}}")({ all: ["1", "<2>"] });
