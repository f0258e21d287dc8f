// What older browsers lack.
Array.prototype.at ??= function (index: number) {
    return this[index < 0 ? this.length + index : index];
};
